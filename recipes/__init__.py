"""How data that the package ships was made; no part of the wheel."""
