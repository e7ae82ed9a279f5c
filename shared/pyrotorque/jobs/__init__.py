"""What runs inside the process of a custom job."""
