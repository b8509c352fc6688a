"""The addresses of a service, by what they are about."""
