def clear_cache():
    return None
