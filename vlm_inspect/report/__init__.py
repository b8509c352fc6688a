"""Results for people and programs: terminal, JSON, overlay PNG, HTML."""
