"""What a person sees of a search: tables of its trials, and bars while it runs."""
