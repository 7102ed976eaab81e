"""What all doors share: answers, events, limits, and the share of the loop and the threads that reading has."""

__all__ = ["answers", "audit", "errors", "event_feed", "handles", "limits", "loop_share", "reading", "search"]
