"""The service: predictions for programs and people, kept in a database, with the labels that come later."""
