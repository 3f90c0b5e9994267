"""What is measured: runs, records, statistics, and the studies behind the notebooks."""
