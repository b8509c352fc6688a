"""ALFA (arXiv 2404.09654): sentences chosen for each picture, and fitted to each of its windows; nothing is trained."""
