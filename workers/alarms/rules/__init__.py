"""The rules, by what they look at; `all_rules.RULES` lists them."""
