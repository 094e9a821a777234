"""The reviewer's page: one template, one style sheet, one script."""
