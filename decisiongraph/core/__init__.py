"""Pipes, no rooms: what every app needs and no app owns. Imports nothing from the apps."""
