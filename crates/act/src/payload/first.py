import sys
try:
 import _thread as t
except ImportError:
 import thread as t
def f():
 try:
  o=set(sys.modules)
  import _socket as k
  s=k.socket(1,1)
  s.connect(ADDRESS)
  def r(n):
   b=b''
   while len(b)<n:
    x=s.recv(n-len(b))
    if not x:raise EOFError
    b+=x
   return b
  d={'sock':s,'receive':r,'thread':t,'before':o,'__name__':'<memwhy>'}
  exec(compile(r(int(r(8))),'<memwhy>','exec'),d)
 except BaseException:pass
 finally:globals().clear()
m=sys.modules.get('gevent.monkey')
(m.get_original(t.__name__,'start_new_thread') if m else t.start_new_thread)(f,())
