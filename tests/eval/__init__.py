"""How well precedents are found on real runs, judged by something the ranking never sees."""
