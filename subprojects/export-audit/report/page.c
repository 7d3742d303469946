// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The page that scan and history fill with their tables. */
#include "report/page.h"

static const char style[] =
	"<style>\n"
	"body{font:14px/1.4 sans-serif;margin:1.5em}\n"
	"table{border-collapse:collapse;width:100%}\n"
	"th{cursor:pointer;text-align:left;border-bottom:2px solid #888;white-space:nowrap;"
	"padding-right:10px}\n"
	"td{border-bottom:1px solid #ddd;padding:2px 10px 2px 0;vertical-align:top}\n"
	"td:first-child{font-family:monospace;overflow-wrap:anywhere;min-width:18em}\n"
	"td.list{overflow-wrap:anywhere;min-width:20em}\n"
	".unconsumed{color:#a00}.undecided{color:#a60}.consumed{color:#060}\n"
	"tr.candidate{background:#fee}\n"
	"input,select,button{font:inherit;margin:0 .7em .5em 0}\n"
	".more{text-decoration:underline;cursor:pointer}\n"
	"</style></head><body>\n";

static const char controls[] =
	"<p id=\"c\"><input id=\"q\" size=\"40\" placeholder=\"text in a row, consumers as "
	"well\"></p>\n"
	"<p><button id=\"b\">previous</button><button id=\"a\">next</button>"
	"page <input id=\"p\" size=\"4\"> <span id=\"n\"></span></p>\n"
	"<table><thead><tr id=\"h\"></tr></thead><tbody id=\"t\"></tbody></table>\n"
	"<script>\n";

/* The state of the view, and the address that has it. */
static const char state[] =
	"const $=i=>document.getElementById(i),SIZE=200,SHOWN=4;\n"
	"const order=new Intl.Collator('en',{numeric:true});\n"
	"let key=-1,up=1,at=1,view=[],hits=[];\n"
	"const list=H.map((h,i)=>D.some(r=>Array.isArray(r[i])));\n"
	"const choice=S.map(i=>{const s=document.createElement('select');\n"
	"s.add(new Option('any '+H[i],''));\n"
	"for(const v of [...new Set(D.map(r=>r[i]))].sort())if(v!=='')s.add(new Option(v,v));\n"
	"s.id='s'+i;s.onchange=()=>{at=1;show()};$('c').appendChild(s);return s});\n"
	"function save(){const u=new URLSearchParams();\n"
	"if($('q').value)u.set('q',$('q').value);\n"
	"choice.forEach((s,i)=>{if(s.value)u.set(H[S[i]],s.value)});\n"
	"if(key>=0)u.set('sort',(up<0?'-':'')+H[key]);\n"
	"if(at>1)u.set('page',at);\n"
	"history.replaceState(null,'','#'+u)}\n"
	"function load(){const u=new URLSearchParams(location.hash.slice(1)),k=u.get('sort')||'';\n"
	"$('q').value=u.get('q')||'';choice.forEach((s,i)=>{s.value=u.get(H[S[i]])||''});\n"
	"up=k.startsWith('-')?-1:1;key=H.indexOf(k.replace(/^-/,''));at=Number(u.get('page'))||1;\n"
	"show()}\n";

/* Rows that are wanted. A word may be in any cell; of a list, in one of its texts. */
static const char choose[] =
	"const texts=D.map(r=>r.filter((x,i)=>!list[i]).join(' ').toLowerCase()),"
	"lower=F.map(f=>f.toLowerCase());\n"
	"function rows(){const words=$('q').value.toLowerCase().split(/\\s+/).filter(Boolean);\n"
	"hits=words.map(w=>lower.map(f=>f.includes(w)));\n"
	"let r=D.map((x,i)=>i).filter(i=>choice.every((s,k)=>!s.value||D[i][S[k]]===s.value)&&\n"
	"words.every((w,k)=>texts[i].includes(w)||"
	"D[i].some((x,c)=>list[c]&&x.some(f=>hits[k][f]))));\n"
	"const size=x=>Array.isArray(x)?x.length:x;\n"
	"if(key>=0)r.sort((a,b)=>{const x=size(D[a][key]),y=size(D[b][key]);\n"
	"return up*(typeof x==='number'?x-y:order.compare(x,y))||a-b});\n"
	"return r}\n";

static const char draw[] =
	"function cell(tr,x){const d=document.createElement('td');\n"
	"if(!Array.isArray(x)){d.textContent=x;if(/^(un)?consumed$|^undecided$/"
	".test(x))d.className=x}\n"
	"else if(x.length){const hit=f=>hits.some(h=>h[f]),\n"
	"y=[...x.filter(hit),...x.filter(f=>!hit(f))],\n"
	"t=k=>y.length+': '+y.slice(0,k).map(f=>F[f]).join(', ');d.className='list';\n"
	"d.textContent=t(SHOWN);if(x.length>SHOWN){const m=document.createElement('span');\n"
	"m.className='more';m.textContent=' and '+(x.length-SHOWN)+' more';\n"
	"m.onclick=()=>{d.textContent=t(x.length)};d.appendChild(m)}}\n"
	"tr.appendChild(d)}\n"
	"function show(){view=rows();const pages=Math.max(1,Math.ceil(view.length/SIZE));\n"
	"at=Math.min(Math.max(1,Math.floor(at)||1),pages);\n"
	"const from=(at-1)*SIZE,C=H.indexOf('candidate');$('t').textContent='';\n"
	"for(const i of view.slice(from,from+SIZE)){const tr=document.createElement('tr');\n"
	"if(C>=0&&D[i][C]==='yes')tr.className='candidate';D[i].forEach(x=>cell(tr,x));\n"
	"$('t').appendChild(tr)}\n"
	"$('n').textContent='of '+pages+'; rows '+(view.length?from+1:0)+' to '+\n"
	"Math.min(from+SIZE,view.length)+' of '+view.length+', '+D.length+' in all';\n"
	"$('p').value=at;$('b').disabled=at<=1;$('a').disabled=at>=pages;\n"
	"[...$('h').children].forEach((t,i)=>{t.textContent=H[i]+(i===key?up>0?' \\u25b2':' "
	"\\u25bc':'')});\n"
	"save()}\n"
	"H.forEach((t,i)=>{const th=document.createElement('th');\n"
	"th.onclick=()=>{up=key===i?-up:1;key=i;at=1;show()};$('h').appendChild(th)});\n"
	"$('q').oninput=()=>{at=1;show()};$('p').onchange=()=>{at=Number($('p').value);show()};\n"
	"$('b').onclick=()=>{at--;show()};$('a').onclick=()=>{at++;show()};\n"
	"addEventListener('hashchange',load);load();\n"
	"</script></body></html>\n";

void page_start(FILE *out, const char *title)
{
	fprintf(out,
		"<!DOCTYPE html>\n<html lang=\"en\"><head><meta "
		"charset=\"utf-8\"><title>%s</title>\n",
		title);
	fputs(style, out);
	fprintf(out, "<h1>%s</h1>\n", title);
}

void page_script(FILE *out)
{
	fputs(controls, out);
}

void page_end(FILE *out)
{
	fputs(state, out);
	fputs(choose, out);
	fputs(draw, out);
}
