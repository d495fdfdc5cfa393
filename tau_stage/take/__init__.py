"""What a performance leaves: the journal, the folder, the stems, and the take folded from them."""
