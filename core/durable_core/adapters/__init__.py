"""What reads and writes files, and talks to AWS. It runs nothing of the user's."""
