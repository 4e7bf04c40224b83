"""What proposes designs."""
