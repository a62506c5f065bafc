"""Operations that decide what an update costs; each beside its plain definition."""
