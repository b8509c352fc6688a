"""WinCLIP (arXiv 2303.14814): windows of a picture, compared with sentences and with windows of normal pictures."""
