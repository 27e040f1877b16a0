"""The gate's tests: non-inferiority, looks before all data are there, power. Pure functions of arrays."""
