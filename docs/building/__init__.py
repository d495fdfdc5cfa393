"""What makes the site: what its pages are completed with, and how they look."""
