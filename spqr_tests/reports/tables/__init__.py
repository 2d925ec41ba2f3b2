"""Tables for people, spreadsheets and papers, in formats that take any text."""
