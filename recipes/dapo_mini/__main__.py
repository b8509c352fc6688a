"""`python -m recipes.dapo_mini`: see training.py."""

from recipes.dapo_mini.training import main

if __name__ == "__main__":
    main()
