"""The documents, and what makes a site of them: `python -m sphinx -W docs FOLDER`."""
