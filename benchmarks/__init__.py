"""Side-by-side measurements: what is compared is ratios within one run."""
