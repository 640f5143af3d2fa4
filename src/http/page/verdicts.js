// What the server says of pictures and people, in Korean. Each pattern is the server's sentence; what none fits stays English.
const VERDICTS = [
  [/^face is (\d+) px wide, (\d+) or more are good/, (px, least) => `얼굴 너비 ${px}px (${least}px 이상 권장)`],
  [/^too dark: light (\d+) of 255, (\d+) or more is good/, (light, least) => `너무 어두움: 밝기 ${light}/255 (${least} 이상 권장)`],
  [/^too light: light (\d+) of 255, (\d+) or less is good/, (light, most) => `너무 밝음: 밝기 ${light}/255 (${most} 이하 권장)`],
  [/^blurred: sharpness ([\d.]+), ([\d.]+) or more is good/, (sharp, least) => `흐림: 선명도 ${sharp} (${least} 이상 권장)`],
  [/; there is no better one$/, () => " · 더 나은 사진이 없어 사용함"],
  [/^the same as (.+) \(([\d.]+) apart\)$/, (file, d) => `${file} 사진과 거의 같음 (거리 ${d})`],
  [/^the same face as (.+) \(([\d.]+) apart\), which never gets a name$/, (file, d) => `이름 표시에서 제외한 ${file} 사진과 같은 얼굴 (거리 ${d})`],
  [/^more like (.+) than like (.+): ([\d.]+) from (.+), ([\d.]+) from the closest other picture of .+; move it if it shows .+$/, (other, name, d, file, own) => `${name}보다 ${other}에 더 비슷함: ${file}까지 ${d}, 본인의 다른 사진까지 ${own}. ${other}의 사진이라면 옮겨 주세요`],
  [/^unlike the other pictures: ([\d.]+) from the closest, ([\d.]+) or less is good; if it shows this person, add a similar one$/, (d, most) => `다른 사진들과 다름: 가장 가까운 사진까지 ${d} (${most} 이하 권장). 본인이 맞다면 비슷한 사진을 더 추가하세요`],
  [/^more than (\d+) pictures \(gallery\.max_images_per_person\); those that differ most are used$/, most => `사진이 ${most}장을 넘어, 서로 가장 다른 사진만 사용함 (gallery.max_images_per_person)`],
  [/^no face found: .+$/, () => "얼굴을 찾지 못함: 얼굴을 가리지 않고 정면에서 바르게 찍은, 얼굴 너비 60px 이상의 선명한 사진을 사용하세요"],
  [/^(\d+) faces: crop to this person$/, n => `얼굴이 ${n}개: 이 사람만 남기고 잘라 주세요`],
  [/^no descriptor can be computed for its face; use another picture$/, () => "얼굴 특징을 계산할 수 없음: 다른 사진을 사용하세요"],
  [/^still being copied; it will be read again$/, () => "복사하는 중: 완료되면 다시 읽습니다"],
  [/^incomplete: its end is missing; copy it again$/, () => "파일 끝부분이 없음: 다시 복사하세요"],
  [/^not a JPEG or PNG picture: save it as one of these$/, () => "JPEG나 PNG 사진이 아님: 둘 중 하나로 저장하세요"],
  [/^(\w+) pictures are not supported: save it as JPEG or PNG$/, kind => `${kind} 형식은 지원하지 않음: JPEG나 PNG로 저장하세요`],
  [/^(\d+)x(\d+) pixels are too many: scale it down to at most (\d+) megapixels$/, (w, h, most) => `${w}×${h} 픽셀은 너무 큼: ${most}00만 화소 이하로 줄이세요`],
  [/^larger than (\d+) MiB: scale it down$/, mib => `${mib}MiB보다 큼: 크기를 줄이세요`],
  [/^unreadable: (.+)$/, why => `읽을 수 없음: ${why}`],
  [/^not in a person's folder: move it into one$/, () => "사람 폴더 밖에 있음: 사람 폴더로 옮기세요"],
  [/^a folder inside a person's folder is not read: move its pictures up$/, () => "사람 폴더 안의 폴더는 읽지 않음: 사진을 위로 옮기세요"],
  [/^only one picture: add two more, in other light or from another day, to improve recognition$/, () => "사진이 한 장뿐입니다. 다른 조명이나 다른 날에 찍은 사진을 두 장 더 추가하면 더 잘 인식합니다"],
  [/^all pictures are nearly the same \(spread ([\d.]+)\): add one in another light, or with glasses$/, spread => `사진들이 거의 같습니다 (편차 ${spread}). 다른 조명이나 안경을 쓴 사진을 추가하세요`],
  [/^(.+) will not be recognised: the folder is empty; add pictures$/, name => `${name}: 폴더가 비어 있어 인식할 수 없습니다. 사진을 추가하세요`],
  [/^(.+) will not be recognised: none of the pictures can be used; see the reason of each$/, name => `${name}: 사용할 수 있는 사진이 없어 인식할 수 없습니다. 사진별 이유를 확인하세요`],
  [/^the gallery has no people: put pictures of a person into (.+) and reload$/, folder => `등록된 사람이 없습니다. ${folder}에 사진을 넣고 다시 불러오거나 아래에서 추가하세요`],
  [/^(.+): (.+) and (.+) are ([\d.]+) apart( or more)?: is this one person\?$/, (name, one, other, d) => `${name}: ${one}, ${other} 사진이 서로 다릅니다 (거리 ${d}). 한 사람이 맞나요?`],
  [/^(.+) and (.+) are ([\d.]+) apart: they may be taken for each other\. .+$/, (one, other, d) => `${one}, ${other} 두 사람이 비슷해 서로 혼동할 수 있습니다 (거리 ${d}). 같은 사람이라면 한 폴더로 합치고, 아니라면 두 사람의 사진을 더 추가하세요`],
  [/^(.+) and (.+) are ([\d.]+) apart: a face that looks more like that picture stays unknown\. .+$/, (name, file, d) => `${name} 및 이름 표시에서 제외한 ${file} 사진이 비슷합니다 (거리 ${d}). ${name}의 사진이라면 제외에서 빼고, 아니라면 사진을 더 추가하세요`],
];
function verdict(text) {
  if (lang !== "ko") return text;
  for (const [pattern, words] of VERDICTS) text = text.replace(pattern, (_, ...parts) => words(...parts));
  return text;
}
