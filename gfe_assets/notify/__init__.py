"""Telling people what happened: the text of a report, and sending it."""
