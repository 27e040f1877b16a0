"""Who agrees with whom, and who with themselves: coefficients with intervals, and doubts of raters.

annotations -> answers [raters, pairs] -> coefficients with intervals over pairs and raters -> what `prefs stats` says
"""
