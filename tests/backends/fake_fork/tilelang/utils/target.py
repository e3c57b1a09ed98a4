import os

import fake_log


def determine_platform(platform='auto'):
    if platform != 'auto':
        return platform
    if os.environ.get('TL_PLATFORM'):
        return os.environ['TL_PLATFORM']
    for part, chip in (('910B', 'A2'), ('910_93', 'A3'), ('910C', 'A3'), ('950', 'A5'), ('910_95', 'A5'), ('910', 'A2')):
        if part in fake_log.device_name:
            return chip
    return 'A3'
