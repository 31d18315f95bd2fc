"""What a decision event is: pure rules of the log, no Django, no clock, no I/O."""
