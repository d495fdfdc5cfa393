"""What makes the site of this folder: `sphinx-build -W docs FOLDER`."""
