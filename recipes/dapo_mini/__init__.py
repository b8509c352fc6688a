"""How dapo-mini was trained: painted pictures, what the frozen network sees of them, the training itself."""
