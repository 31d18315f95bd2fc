"""Pure rules of human workflow: states, tickets, deadlines."""
