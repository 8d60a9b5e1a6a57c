use memwhy_testkit::*; use std::collections::BTreeMap;
fn main(){ let label=std::env::args().nth(1).unwrap(); let sc=std::env::args().nth(2).unwrap_or("zoo.py".into());
 let i=require(&[&label])[0];
 let mut w=Workload::start(&i.path,&script(&sc),&[]);
 let path=std::env::temp_dir().join(format!("truth-{}.bin",std::process::id()));
 w.command(&format!("hold truth {}",path.display()));
 let case=memwhy::capture(w.pid(),&memwhy::Options::default()).unwrap();
 w.command("resume");
 let truth=Truth::read(&path).unwrap(); std::fs::remove_file(&path).unwrap();
 let heap=case.heap.as_ref().unwrap();
 let mut miss:BTreeMap<String,u64>=BTreeMap::new(); let mut wrongtype=0; let mut sizes:BTreeMap<String,(u64,i64,u64,String)>=BTreeMap::new(); let (mut ts,mut os)=(0u64,0u64);
 let mut found=0;
 for at in 0..truth.len(){ let a=truth.addresses[at]; let tn=truth.type_name(at).to_string();
  match heap.find(a){ None=>{ if miss.len()<1 || tn=="builtins.int" { println!("MISS {a} {tn}"); } *miss.entry(tn).or_default()+=1; }
   Some(id)=>{ found+=1; let ours=&heap.type_row(heap.type_of(id)).unwrap(); if ours.addr!=truth.types[truth.type_of[at] as usize].addr {wrongtype+=1; println!("wrong type {a} {} {tn}",ours.name);} else if ours.name!=tn { let e=sizes.entry(format!("NAME {} vs {tn}",ours.name)).or_default(); e.0+=1; }
    if let Some(s)=truth.sizes[at]{ ts+=s; let o=heap.size(id).0; os+=o; if o!=s { let e=sizes.entry(tn).or_default(); e.0+=1; e.1+=o as i64-s as i64; e.2+=s; e.3=format!("{a} ours {o} truth {s}"); } } } } }
 let mut extra:BTreeMap<String,u64>=BTreeMap::new(); let mut ex=0; let mut stat=0;
 for id in heap.ids(){ if truth.find(heap.addr(id)).is_none(){ ex+=1; if heap.flags(id).has(memwhy::model::Flags::STATIC){stat+=1; *extra.entry(format!("static {}",heap.type_row(heap.type_of(id)).unwrap().name)).or_default()+=1;continue;} *extra.entry(heap.type_row(heap.type_of(id)).unwrap().name.clone()).or_default()+=1; } }
 println!("{label}: truth {} found {found} miss {:?} wrongtype {wrongtype}", truth.len(), miss);
 println!("sizes ours {os} truth {ts} {:.4}%  diffs:", (os as f64/ts as f64-1.0)*100.0); for (k,v) in &sizes { println!("   {k}: {v:?}"); }
 let mut e:Vec<_>=extra.into_iter().collect(); e.sort_by_key(|x|std::cmp::Reverse(x.1)); println!("extra {ex} static {stat} {:?}", &e[..e.len().min(30)]);
 println!("problems {:?}", case.problems);
 let m=w.command("hold mallinfo2"); let c2=memwhy::capture(w.pid(),&memwhy::Options::default()).unwrap(); w.command("resume");
 println!("mallinfo {m}\n ours {:?}", c2.malloc.as_ref().unwrap().glibc.as_ref().unwrap().mallinfo);
 let m=w.command("hold debugmallocstats"); let c2=memwhy::capture(w.pid(),&memwhy::Options::default()).unwrap(); w.command("resume");
 let mut m=m; m["classes"]=serde_json::Value::Null; let mut p=c2.pymalloc.unwrap(); p.classes.clear(); println!("pymalloc {m}\n ours {p:?}");
 println!("residual {:?} rss {:?} anon.other {:?} py {:?}", c2.accounting.unexplained, c2.accounting.rss, c2.accounting.resident(memwhy::model::Owner::AnonOther), c2.about.moment);
}
