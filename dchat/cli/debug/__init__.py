"""`dchat debug`: where two nodes parted."""
