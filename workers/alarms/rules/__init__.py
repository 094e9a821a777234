"""The rules, by subject; `all_rules.RULES` lists them."""
