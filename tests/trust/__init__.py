"""The fault suite: what must survive, each with a control that the same test must catch.

``make trust`` runs every row under its load and prints one line each; ``make trust LONG=1`` repeats that
for half an hour with new seeds, which it writes down. ``make test`` runs the same tests with small sizes,
all but those that start servers of their own.

A test says its row with ``@pytest.mark.trust("A1")``, the deliberately wrong variant with
``@pytest.mark.trust("A1", control=True)``, and what it measured through the fixture ``figures``.
"""
