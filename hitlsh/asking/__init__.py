"""Asking through the receiver, as values: the asked request, its outcome, and what can go wrong. No I/O.

The question itself is `hitlsh.api.questions.new_question.NewQuestion`.
"""
