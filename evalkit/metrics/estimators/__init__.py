"""What several metrics count and estimate with: n-grams, entropies, subsets, leaving one out."""
