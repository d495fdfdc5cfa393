"""What a take is held against: expectations, snapshots, and what can be measured. Data in, verdicts out."""
