import sys
def main():
    from tuning_service import bootstrap
    from tuning_service.settings import Settings
    a=sys.argv[1:]; rf=a[a.index("--ready-file")+1] if "--ready-file" in a else None
    o={}
    if "--port" in a: o["port"]=int(a[a.index("--port")+1])
    if a[0]=="serve": bootstrap.serve(Settings.load(**o), ready_file=rf)
if __name__=="__main__": main()
