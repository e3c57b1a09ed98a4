// The timelines of the page: an overview of the whole block, and below it a view that zooms and pans.
'use strict';
(() => {
  const FIELDS = 9, ROW = 22, GAP = 4, LABEL = 92, AXIS = 22, OVER = 5;
  const root = document.documentElement;
  window.addEventListener('error', e => { root.dataset.errors = (root.dataset.errors || '') + e.message + '\n'; });

  function ticks(from, to, pixels) {
    const rough = (to - from) / Math.max(2, pixels / 90);
    const power = Math.pow(10, Math.floor(Math.log10(rough)));
    const step = [1, 2, 5, 10].map(m => m * power).find(s => s >= rough);
    const out = [];
    for (let t = Math.ceil(from / step) * step; t <= to; t += step) out.push(t);
    return { out, step };
  }

  function draw(box) {
    const d = JSON.parse(box.querySelector('script').textContent);
    const over = box.querySelector('canvas.overview'), main = box.querySelector('canvas.main'), tip = box.querySelector('.tip'), about = box.querySelector('.about');
    const rows = d.tracks.length, n = d.slices.length / FIELDS, us = d.tenths * d.mhz;
    const field = (i, k) => d.slices[i * FIELDS + k];
    const byRow = d.tracks.map(() => []);
    for (let i = 0; i < n; i++) byRow[field(i, 0)].push(i);
    byRow.forEach(r => r.sort((a, b) => field(a, 1) - field(b, 1)));
    let view = [0, d.cycles], focus = -1;

    function canvas(el, height) {
      const width = Math.max(320, box.clientWidth), ratio = Math.max(2, window.devicePixelRatio || 1);
      el.width = width * ratio; el.height = height * ratio;
      el.style.height = height + 'px'; el.style.width = '100%';
      const g = el.getContext('2d');
      g.setTransform(ratio, 0, 0, ratio, 0, 0);
      g.clearRect(0, 0, width, height);
      g.font = '11px system-ui, sans-serif';
      g.textBaseline = 'middle';
      return [g, width];
    }

    function overview() {
      const height = rows * (OVER + 1) + 6;
      const [g, width] = canvas(over, height);
      const w = width - LABEL, bins = d.bins[0] ? d.bins[0].length : 0;
      g.fillStyle = '#667'; g.fillText('whole block', 0, height / 2);
      d.bins.forEach((bin, r) => {
        for (let b = 0; b < bins; b++) {
          if (bin[b] === '0') continue;
          g.globalAlpha = 0.15 + 0.85 * bin[b] / 9;
          g.fillStyle = d.tracks[r].colour;
          g.fillRect(LABEL + w * b / bins, 3 + r * (OVER + 1), w / bins + 0.3, OVER);
        }
      });
      g.globalAlpha = 1;
      const x0 = LABEL + w * view[0] / d.cycles, x1 = LABEL + w * view[1] / d.cycles;
      g.fillStyle = 'rgba(255,255,255,.65)';
      g.fillRect(LABEL, 0, x0 - LABEL, height); g.fillRect(x1, 0, width - x1, height);
      g.strokeStyle = '#445'; g.strokeRect(x0 + .5, .5, Math.max(2, x1 - x0 - 1), height - 1);
    }

    function paint() {
      const height = AXIS + rows * (ROW + GAP) + 4;
      const [g, width] = canvas(main, height);
      const w = width - LABEL, scale = w / (view[1] - view[0]), x = t => LABEL + (t - view[0]) * scale, y = r => AXIS + r * (ROW + GAP);
      const axis = ticks(view[0] / us, view[1] / us, w), digits = Math.max(0, -Math.floor(Math.log10(axis.step) + 1e-9));
      g.textAlign = 'center';
      for (const t of axis.out) {
        const at = x(t * us);
        g.fillStyle = '#e8e8ee'; g.fillRect(at, AXIS - 4, 1, height);
        const text = t.toFixed(digits) + ' µs', half = g.measureText(text).width / 2;
        if (at - half > LABEL - 8 && at + half < width) { g.fillStyle = '#556'; g.fillText(text, at, AXIS / 2); }
      }
      g.textAlign = 'left';
      d.tracks.forEach((track, r) => {
        g.fillStyle = '#f6f6f9'; g.fillRect(LABEL, y(r), w, ROW);
        const bins = d.bins[r].length;
        for (let b = 0; b < bins; b++) {
          const t0 = d.cycles * b / bins, t1 = d.cycles * (b + 1) / bins;
          if (d.bins[r][b] === '0' || t1 < view[0] || t0 > view[1] || d.windows.some(v => t0 >= v[0] && t1 <= v[1])) continue;
          g.globalAlpha = 0.15 + 0.6 * d.bins[r][b] / 9; g.fillStyle = track.colour;
          g.fillRect(Math.max(LABEL, x(t0)), y(r) + 4, Math.min(width, x(t1)) - Math.max(LABEL, x(t0)), ROW - 8);
        }
        g.globalAlpha = 1;
        for (const i of byRow[r]) {
          const s = field(i, 1), e = s + field(i, 2);
          if (e < view[0] || s > view[1]) continue;
          const x0 = Math.max(LABEL, x(s)), x1 = Math.min(width, x(e)), kind = field(i, 4), wide = Math.max(x1 - x0, .6);
          if (kind === 0) {
            g.fillStyle = track.colour; g.fillRect(x0, y(r), wide, ROW);
            if (wide > 4) { g.fillStyle = 'rgba(255,255,255,.45)'; g.fillRect(x1 - .6, y(r), .6, ROW); }
          } else {
            g.fillStyle = kind === 1 ? '#f0b9b9' : '#a9a9a9'; g.fillRect(x0, y(r) + ROW / 2 - 3, wide, 6);
          }
          if (kind === 0 && wide > 34) {
            g.save(); g.beginPath(); g.rect(x0, y(r), wide - 2, ROW); g.clip();
            g.fillStyle = '#fff'; g.fillText(d.names[field(i, 3)], x0 + 4, y(r) + ROW / 2 + .5); g.restore();
          }
        }
        g.fillStyle = '#223'; g.fillText(track.name, 0, y(r) + ROW / 2);
      });
      let seen = 0;
      for (let a = 0; a < d.arrows.length; a += 3) {
        const s = d.arrows[a], t = d.arrows[a + 1], t0 = field(s, 1) + field(s, 2), wait = field(t, 4) === 1, t1 = field(t, 1) + (wait ? field(t, 2) : 0);
        if (t1 >= view[0] && t0 <= view[1]) seen++;
      }
      const shown = seen <= 160;
      g.save(); g.beginPath(); g.rect(LABEL, AXIS, w, height); g.clip();
      for (let a = 0; a < d.arrows.length; a += 3) {
        const s = d.arrows[a], t = d.arrows[a + 1], chosen = s === focus || t === focus;
        if (!shown && !chosen) continue;
        const wait = field(t, 4) === 1, t0 = field(s, 1) + field(s, 2), t1 = field(t, 1) + (wait ? field(t, 2) : 0);
        if (t1 < view[0] || t0 > view[1]) continue;
        const x0 = x(t0), y0 = y(field(s, 0)) + ROW / 2, x1 = x(t1), y1 = y(field(t, 0)) + ROW / 2, bend = Math.max(6, Math.min(40, (x1 - x0) / 2));
        g.strokeStyle = g.fillStyle = chosen ? '#c00' : 'rgba(40,40,60,.45)'; g.lineWidth = chosen ? 1.6 : .8;
        g.beginPath(); g.moveTo(x0, y0); g.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1, y1); g.stroke();
        g.beginPath(); g.moveTo(x1, y1); g.lineTo(x1 - 5, y1 - 2.5); g.lineTo(x1 - 5, y1 + 2.5); g.fill();
      }
      g.restore(); g.lineWidth = 1;
      about.textContent = `${(view[0] / us).toFixed(2)} to ${(view[1] / us).toFixed(2)} µs of ${(d.cycles / us).toFixed(2)} µs (modelled)` +
        (shown ? '' : `, ${seen} flags: zoom in to see their arrows`);
      overview();
    }

    function move(from, to) {
      const least = 40 * d.tenths, span = Math.min(d.cycles, Math.max(least, to - from)), start = Math.min(Math.max(0, from), d.cycles - span);
      view = [start, start + span];
      paint();
    }
    const zoom = (factor, at) => move(at - (at - view[0]) * factor, at + (view[1] - at) * factor);
    const time = (e, el) => view[0] + (view[1] - view[0]) * (e.clientX - el.getBoundingClientRect().left - LABEL) / (el.clientWidth - LABEL);

    function hit(e) {
      const r = Math.floor((e.clientY - main.getBoundingClientRect().top - AXIS) / (ROW + GAP));
      if (r < 0 || r >= rows) return -1;
      const t = time(e, main), near = 2 * (view[1] - view[0]) / (main.clientWidth - LABEL);
      let best = -1;
      for (const i of byRow[r]) {
        const s = field(i, 1), end = s + field(i, 2);
        if (s - near <= t && t <= end + near && (best < 0 || field(i, 4) === 0 && field(best, 4) !== 0 || s <= t && t <= end)) best = i;
      }
      return best;
    }

    function show(i, e) {
      if (i < 0) { tip.hidden = true; return; }
      const cycles = field(i, 2) / d.tenths, name = d.names[field(i, 3)], loop = d.loops[field(i, 6)], bytes = field(i, 7), set = d.lines[field(i, 8)];
      const head = ['', 'waits for ', ''][field(i, 4)] + name;
      tip.textContent = [head, d.tracks[field(i, 0)].name + ', ' + cycles.toFixed(0) + ' cycles (modelled)', d.lines[field(i, 5)], set ? 'flag set at ' + set : '', loop,
        bytes ? bytes + ' bytes of GM' : ''].filter(Boolean).join('\n');
      tip.hidden = false;
      const at = box.getBoundingClientRect();
      tip.style.left = Math.min(e.clientX - at.left + 14, box.clientWidth - tip.offsetWidth - 4) + 'px';
      tip.style.top = e.clientY - at.top + 16 + 'px';
    }

    let drag = null;
    main.addEventListener('wheel', e => { if (e.ctrlKey || e.metaKey || e.altKey || document.activeElement === main) { e.preventDefault(); zoom(e.deltaY > 0 ? 1.25 : .8, time(e, main)); } }, { passive: false });
    main.addEventListener('pointerdown', e => { drag = { x: e.clientX, view: view.slice() }; main.focus(); main.setPointerCapture(e.pointerId); });
    main.addEventListener('pointermove', e => {
      if (drag) { const by = (e.clientX - drag.x) * (drag.view[1] - drag.view[0]) / (main.clientWidth - LABEL); move(drag.view[0] - by, drag.view[1] - by); return; }
      const i = hit(e);
      show(i, e);
      if (i !== focus) { focus = i; paint(); }
    });
    main.addEventListener('pointerup', () => { drag = null; });
    main.addEventListener('pointerleave', () => { tip.hidden = true; if (focus >= 0) { focus = -1; paint(); } });
    main.addEventListener('dblclick', () => move(0, d.cycles));
    main.addEventListener('keydown', e => {
      const span = view[1] - view[0], middle = (view[0] + view[1]) / 2;
      const act = { ArrowLeft: () => move(view[0] - span / 5, view[1] - span / 5), ArrowRight: () => move(view[0] + span / 5, view[1] + span / 5),
        '+': () => zoom(.7, middle), '-': () => zoom(1 / .7, middle), '0': () => move(0, d.cycles) }[e.key];
      if (act) { e.preventDefault(); act(); }
    });
    over.addEventListener('pointerdown', e => {
      const t = d.cycles * (e.clientX - over.getBoundingClientRect().left - LABEL) / (over.clientWidth - LABEL), span = view[1] - view[0];
      move(t - span / 2, t + span / 2);
    });
    // Of a long block some hundred instructions around the middle.
    const long = d.count > 1600, half = d.cycles * (long ? 400 / d.count : .1), steady = [d.cycles / 2 - half, d.cycles / 2 + half];
    const goals = { whole: () => move(0, d.cycles), start: () => move(0, d.cycles / 8), middle: () => move(steady[0], steady[1]), end: () => move(d.cycles * 7 / 8, d.cycles),
      closer: () => zoom(.6, (view[0] + view[1]) / 2), wider: () => zoom(1 / .6, (view[0] + view[1]) / 2) };
    box.querySelectorAll('button').forEach(b => b.addEventListener('click', goals[b.dataset.go]));
    window.addEventListener('resize', paint);
    window.addEventListener('beforeprint', () => { tip.hidden = true; focus = -1; paint(); });
    if (long) move(steady[0], steady[1]); else paint();
    box.dataset.drawn = n;
  }

  document.querySelectorAll('.timeline').forEach(box => {
    try { draw(box); } catch (e) {
      root.dataset.errors = (root.dataset.errors || '') + e.message + '\n';
      box.querySelector('.about').textContent = 'The timeline could not be drawn: ' + e.message;
    }
  });
  root.dataset.ready = 'yes';
})();
