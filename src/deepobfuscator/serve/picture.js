// Pictures as the encoder takes them: pixels of any size; and the camera.

const surface = (width, height) => {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
};

/** A canvas of a file's picture, upright, with its pixel values as stored. */
export async function opened(file) {
  // The Python client ignores colour profiles, too.
  const options = { imageOrientation: "from-image", colorSpaceConversion: "none" };
  const bitmap = await createImageBitmap(file, options);
  return drawn(bitmap, bitmap.width, bitmap.height);
}

/** A canvas of one picture of a video. */
export const snapshot = (video) => drawn(video, video.videoWidth, video.videoHeight);

function drawn(source, width, height) {
  const canvas = surface(width, height);
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(source, 0, 0);
  return canvas;
}

/** Bytes (height, width, 3) of a canvas, RGB. */
export function pixels(canvas) {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const found = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; to < found.length; from += 4, to += 3) {
    found[to] = data[from];
    found[to + 1] = data[from + 1];
    found[to + 2] = data[from + 2];
  }
  return found;
}

/** Draw on `canvas` what the encoder takes of a picture: the middle part, at its size. */
export function fitted(picture, canvas, [height, width]) {
  canvas.width = width;
  canvas.height = height;
  const scale = Math.min(picture.width / width, picture.height / height);
  const part = [width * scale, height * scale];
  const place = canvas.getContext("2d");
  place.imageSmoothingQuality = "high";
  place.drawImage(
    picture, (picture.width - part[0]) / 2, (picture.height - part[1]) / 2, ...part,
    0, 0, width, height,
  );
}

/** Draw bytes (height, width, 3), RGB. */
export function shown(bytes, canvas, [height, width]) {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let from = 0, to = 0; from < bytes.length; from += 3, to += 4) {
    image.data.set(bytes.subarray(from, from + 3), to);
    image.data[to + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Bytes of a canvas as JPEG of quality 75. */
export async function jpegSize(canvas) {
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.75));
  return blob.size;
}

/** Show the camera in `video`; the returned function ends it. */
export async function filming(video) {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
  const end = () => {
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  };
  try {
    video.srcObject = stream;
    await video.play();
  } catch (error) {
    end();
    throw error;
  }
  return end;
}
