#!/usr/bin/env python3
"""Datagrams of 1,200 bytes to ADDRESS, 80 Mbit/s, until it is ended."""
import socket
import sys
import time

sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    for _ in range(10):
        sink.sendto(bytes(1200), (sys.argv[1], 9))
    time.sleep(0.001)
