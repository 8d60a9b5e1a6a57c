"""What is started in another root, where nothing is at its usual place: not even /proc."""
import sys
import threading
import time

DATA = [str(number) for number in range(100000)]

threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print("READY {}", flush=True)
sys.stdin.read()
