"""What one notebook alone measures, draws and lets one explore."""
