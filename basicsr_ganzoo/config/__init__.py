"""Option files: reading, overriding and completing them, and building what their blocks describe."""
