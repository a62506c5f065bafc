"""What is asked of a multimodal language model, and what of its answer is believed; no network.

Whoever can ask one (`nodes/`, a script) sends the question with the pictures, and hands the text of
the answer back.
"""
